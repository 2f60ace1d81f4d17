"""What CSI wants of the array, idempotently: said with Element's calls, without CSI's messages."""
