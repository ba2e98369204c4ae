"""Captions: files of them, splits, words, the vocabulary."""
