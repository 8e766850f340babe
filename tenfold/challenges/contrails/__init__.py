"""Contrails: multi-frame contrail segmentation in geostationary imagery."""
