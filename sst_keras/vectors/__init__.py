"""Pretrained word vectors: files, matching with words, named sets."""
