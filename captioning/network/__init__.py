"""The network: training, decoding, saving."""
