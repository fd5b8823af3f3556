"""ONNX files: a graph's inference form, written and read. Nothing else imports the package onnx."""
