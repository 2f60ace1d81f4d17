"""The Secrets of volumes in Kubernetes."""
