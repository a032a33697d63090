"""The farm: a distributed render farm that paints video with neural networks.

`farm` is the control side: it never imports torch. The painters are in the package `worker`.
"""

__version__ = "0.1.0"
