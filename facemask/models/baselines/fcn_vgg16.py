"""FCN on VGG-16 at stride 32, a baseline of Table 2."""

from pathlib import Path

from torch import Tensor, nn

from facemask.models.baselines.vgg16 import VGG16, VGG16Network, start_weights
from facemask.models.upsample import upsample_bilinear


class FCNVGG16(VGG16Network):
    """FCN-VGG16 (Table 2): VGG-16 whose fully connected layers are convolutions (FCN-32s).

    Long et al. (2015) in the form of the paper's code base (Keras-FCN): all convolutions padded to
    keep the size, fc6 of 7 × 7 and fc7 of 1 × 1 with 4096 channels and dropout 0.5, a 1 × 1
    convolution to C classes, bilinear up-sampling by 32. At 320 × 320 the scores are C × 10 × 10; a
    score depends on 404 × 404 pixels. 134.3 million parameters with five classes, 103 million of
    them in fc6.

    Attributes:
        encoder: Images to features, fc6 and fc7 included.
        classifier: 1 × 1 convolution, features to C channels.

    Examples:
        >>> import torch
        >>> model = FCNVGG16(base_channels=4, fc_channels=8).eval()  # VGG-16 has 64 and 4096
        >>> model(torch.zeros(2, 3, 64, 80)).shape
        torch.Size([2, 5, 64, 80])
    """

    def __init__(
        self,
        num_classes: int = 5,
        pretrained: bool | str | Path = False,
        base_channels: int = 64,
        fc_channels: int = 4096,
    ) -> None:
        """Build encoder and classifier.

        Args:
            num_classes: Number of classes C, background included.
            pretrained: ImageNet weights of all layers but the classifier: False for random ones,
                True for timm's download, or the path of a local checkpoint of timm's or
                torchvision's `vgg16`; see `VGG16.load_imagenet`.
            base_channels: Channels of VGG-16's first block; fewer make a small network.
            fc_channels: Channels of fc6 and fc7.

        Raises:
            InputError: A number is below 1, or the weights cannot be loaded.
        """
        super().__init__(VGG16(base_channels, fc_channels), num_classes, fc_channels)
        self.encoder.load_imagenet(pretrained)
        self.classifier = nn.Conv2d(fc_channels, num_classes, kernel_size=1)
        start_weights(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel.

        Args:
            images: Floating point, normalised with `mean` and `std`, (B, 3, H, W) or
                (B, T, 3, H, W); the frames of a clip are scored independently.

        Returns:
            Scores (logits) (B, C, H, W) or (B, T, C, H, W), unbounded, float32 under autocast.

        Raises:
            InputError: The images have another shape or hold integers.
        """
        features = self.encoder(images)  # (..., 4096, h, w)
        scores = self.classifier(features.flatten(0, -4))  # (N, C, h, w)
        scores = upsample_bilinear(scores, (images.shape[-2], images.shape[-1]))  # (N, C, H, W)
        return scores.reshape(*images.shape[:-3], *scores.shape[1:])
