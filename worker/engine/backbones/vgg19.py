"""VGG-19 (Simonyan & Zisserman 2014) up to relu5_1: the reference network of Gatys et al. 2016.

The state dict is torchvision's. As in Gatys et al. 2016, §2, max-pooling is replaced by average pooling.
"""

from __future__ import annotations

from torch import nn

from worker.engine.backbones.base import Network, State, with_weights
from worker.engine.backbones.winograd import ConvReLU

STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_TAP = "relu4_2"
GROUPS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))
"""Output channels of each convolution, a pooling between the groups."""
IN_BLOCKS = ("relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4", "relu4_1", "relu4_2")
"""What a CPU convolves by Winograd. Before them that saves nothing; after them a block is so many pixels wide that a
picture's tiles would have to see half as much again around them, to be rounded as the whole is."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def vgg19(state: State) -> Network:
    """The frozen network from torchvision's state dict (keys `features.<n>.weight` and `.bias`)."""
    stages: list[tuple[str, nn.Module]] = []
    inputs = 3
    index = 0  # torchvision's number of the layer: convolution, ReLU and pooling each count
    for group, widths in enumerate(GROUPS, start=1):
        if group > 1:
            stages.append((f"pool{group - 1}", nn.AvgPool2d(2)))
            index += 1
        for place, outputs in enumerate(widths, start=1):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            with_weights(conv, state[f"features.{index}.weight"], state[f"features.{index}.bias"])
            name = f"relu{group}_{place}"
            stages.append((name, ConvReLU(conv, blocks=name in IN_BLOCKS)))
            inputs = outputs
            index += 2
    return Network(stages, style_taps=STYLE_TAPS, content_tap=CONTENT_TAP, mean=IMAGENET_MEAN, std=IMAGENET_STD)
