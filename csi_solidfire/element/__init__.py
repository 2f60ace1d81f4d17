"""The Element API of one SolidFire cluster. Nothing here knows CSI or Kubernetes."""
