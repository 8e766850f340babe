"""The Keras 3 engine, on TensorFlow."""

import os

# TensorFlow reads both when it is imported, which only modules of this package do.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
