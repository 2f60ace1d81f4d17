"""The edge: the only part that knows gRPC and protobuf."""
