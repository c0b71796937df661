"""Exports: encoders as ONNX files, for programs without Python.

`to_onnx` writes a network from features to bits. A fitted encoder writes everything before it too:
see `ExportMixin.to_onnx`.

No file holds the keyed hash of the frozen draws. The files take the draws as an input, so that
anyone with the key can make the same bits elsewhere.
"""

from bitveil.exports.network import to_onnx
from bitveil.exports.whole import ExportMixin

__all__ = ["ExportMixin", "to_onnx"]
