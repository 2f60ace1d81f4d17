"""Protobuf and gRPC code, generated from `proto/` when the package is built."""
