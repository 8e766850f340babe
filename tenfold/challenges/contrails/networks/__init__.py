"""Segmentation networks for contrails: frames in, logits of the labelled one out."""
