"""Layers: initial weights, perceptrons, transformers over histories, convolutions, quantizers."""

from foldin.nn.attention import Positions, attend, rotate
from foldin.nn.code_use import CodeUse, code_use
from foldin.nn.convolution import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    ConvolutionMaker,
    ConvolutionShape,
    grid_of,
)
from foldin.nn.denoiser import MLPDenoiser, step_embedding
from foldin.nn.dropout import dropout
from foldin.nn.finite_scalar import FiniteScalarQuantizer
from foldin.nn.init import normal_parameter, uniform_parameter, xavier_linear
from foldin.nn.mixers import Appended, Kept, Mixer, Noise, Places, SelfAttention, join_heads, split_heads
from foldin.nn.mlp import MLP
from foldin.nn.quantizers import ProductQuantizer, Quantized, ResidualQuantizer, VectorQuantizer
from foldin.nn.sequence_encoder import SequenceEncoder
from foldin.nn.sequences import (
    Sequences,
    batches_by_length,
    batches_of_transitions,
    cut_by_length,
    encoder_bytes,
    newest,
    step_bytes,
    transitions,
)
from foldin.nn.transformer import Cache, Transformer, TransformerShape
from foldin.nn.unet import UNet, UNetShape

__all__ = [
    "MLP",
    "Appended",
    "Cache",
    "CodeUse",
    "ConvolutionMaker",
    "ConvolutionShape",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "FiniteScalarQuantizer",
    "Kept",
    "MLPDenoiser",
    "Mixer",
    "Noise",
    "Places",
    "Positions",
    "ProductQuantizer",
    "Quantized",
    "ResidualQuantizer",
    "SelfAttention",
    "SequenceEncoder",
    "Sequences",
    "Transformer",
    "TransformerShape",
    "UNet",
    "UNetShape",
    "VectorQuantizer",
    "attend",
    "batches_by_length",
    "batches_of_transitions",
    "code_use",
    "cut_by_length",
    "dropout",
    "encoder_bytes",
    "grid_of",
    "join_heads",
    "newest",
    "normal_parameter",
    "rotate",
    "split_heads",
    "step_bytes",
    "step_embedding",
    "transitions",
    "uniform_parameter",
    "xavier_linear",
]
