"""Build the network that a recipe names, whichever library has it."""

from typing import Any, cast

import torch
from timm.models import get_pretrained_cfg
from torch import nn

from tenfold.challenges.kelp.bands import SIZE
from tenfold.challenges.kelp.choices import ARCHITECTURES
from tenfold.challenges.kelp.network_options import KelpNet
from tenfold.errors import RecipeError
from tenfold.training.smp_networks import build_smp

_MULTIPLE = 32
_PATCH = 16
_RESUNET_WIDTHS = (256, 128, 64, 32, 16)
_FCN_WIDTH, _FCN_LAYERS = 256, 5
#: Where segmentation-models-pytorch calls it otherwise than `decoder_channels`.
_WIDTH = {
    "fpn": "decoder_pyramid_channels",
    "pspnet": "psp_out_channels",
    "segformer": "decoder_segmentation_channels",
    "dpt": "decoder_fusion_channels",
}
_DROPOUT = {
    "fpn": "decoder_dropout",
    "pspnet": "psp_dropout",
    "deeplabv3": "decoder_aspp_dropout",
    "deeplabv3plus": "decoder_aspp_dropout",
}


def build_net(net: KelpNet, channels: int) -> nn.Module:
    """Return the network: channels (N, C, H, W) to logits (N, classes, H, W).

    Raises:
        RecipeError: if there is no such encoder, or it does not suit the architecture.
    """
    own = {"resunet": _resunet, "fcn": _fcn}
    network = own.get(net.architecture, _with_encoder)(net, channels)
    if net.channels_last:
        network.to(memory_format=torch.channels_last)
    return network


def multiple_of(net: KelpNet, network: nn.Module, size: int | None) -> int:
    """Return what the sides of the network's images are multiples of.

    An encoder that takes one size only, such as Swin Transformer's, is refused at any
    other, naming the size; the published system set it behind the recipe's back.

    Args:
        net: of the recipe.
        network: built of it.
        size: `input.size` of the recipe.
    """
    if net.architecture == "dpt":
        patch = cast(Any, network).encoder.output_stride
        if patch != _PATCH:
            raise RecipeError(
                f"net: dpt takes encoders with patches of {_PATCH} px; those of"
                f" {net.encoder} have {patch}"
            )
        return _MULTIPLE
    side = _only_side(net.encoder or "")
    if side is not None and side != size:
        raise RecipeError(
            f"encoder {net.encoder} takes images of {side} px only; set input.size:"
            f" {side}" + (" and input.fit: resize" if side < SIZE else "")
        )
    return side or _MULTIPLE


def _only_side(encoder: str) -> int | None:
    """Return the one size of image that an encoder of timm's takes, if it is one."""
    if not encoder.startswith("tu-"):
        return None
    config = get_pretrained_cfg(encoder.removeprefix("tu-"))
    if config is None or not config.fixed_input_size:
        return None
    return int(config.input_size[-1])


def _with_encoder(net: KelpNet, channels: int) -> nn.Module:
    """Build a network of segmentation-models-pytorch."""
    encoder = net.encoder or ""
    return build_smp(
        net.architecture, encoder, channels, net.classes, **_arguments(net)
    )


def _arguments(net: KelpNet) -> dict[str, Any]:
    """Return what the recipe says, under the names of segmentation-models-pytorch."""
    name = net.architecture
    given: dict[str, Any] = {}
    if net.decoder_channels is not None:
        if ARCHITECTURES[name].widths == "a level":
            given["decoder_channels"] = net.decoder_channels
            given["encoder_depth"] = len(net.decoder_channels)
        else:
            given[_WIDTH.get(name, "decoder_channels")] = net.decoder_channels[0]
    if net.depth is not None:
        given["encoder_depth"] = net.depth
        # Their defaults are right for one depth only.
        if name == "fpn":
            given["upsampling"] = 2 ** (net.depth - 3)
        if name == "pspnet":
            given["upsampling"] = 2**net.depth
    if net.attention is not None:
        given["decoder_attention_type"] = net.attention
    if net.dropout is not None:
        given[_DROPOUT[name]] = net.dropout
    if name == "dpt":
        given["dynamic_img_size"] = True
    return given


def _resunet(net: KelpNet, channels: int) -> nn.Module:
    """Build MONAI's U-Net of residual units; the import takes seconds."""
    from monai.networks.nets.unet import UNet

    widths = net.decoder_channels or _RESUNET_WIDTHS
    return UNet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=net.classes,
        channels=widths[::-1],
        strides=(2,) * (len(widths) - 1),
        num_res_units=2,
        dropout=net.dropout or 0.0,
    )


def _fcn(net: KelpNet, channels: int) -> nn.Module:
    """Build five convolutions that see 11 px, and one of single pixels."""
    (width,) = net.decoder_channels or (_FCN_WIDTH,)
    layers: list[nn.Module] = []
    for inputs in (channels, *[width] * (_FCN_LAYERS - 1)):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(width, net.classes, 1))
