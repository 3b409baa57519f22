"""What a `.keras` file may name: all of Keras that computes, none that runs code or reads files.

Not here, and so refused: Lambda, the wrappers of other libraries' modules (TorchModuleWrapper,
TFSMLayer, JaxLayer, FlaxLayer), the vocabularies (StringLookup, IntegerLookup, TextVectorization),
operations that take functions (Map, Scan, Cond), and functions other than activations.
"""

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional Concatenate
Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell
LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum
MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector
Rescaling Reshape SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D
SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract TimeDistributed
UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""

_NUMPY = """
Absolute Add Amax Amin Average Cbrt Clip Concatenate Cos Cosh Divide DivideNoNan Dot Equal Exp
ExpandDims Expm1 Flip GetItem Greater GreaterEqual Less LessEqual Log Log10 Log1p Log2 Matmul Max
Maximum Mean Min Minimum Moveaxis Multiply Negative NotEqual Power Prod Reciprocal Reshape Sign
Sin Sinh Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Tan Tanh Transpose TrueDivide
Var Where
"""

_NN = """
Celu Elu Gelu Glu HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax Normalize
RMSNorm Relu Relu6 Selu Sigmoid Silu Softmax Softplus Softsign
"""

_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones
Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""

_ACTIVATIONS = """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
softsign squareplus swish tanh tanh_shrink threshold
"""

ACTIVATIONS = frozenset(_ACTIVATIONS.split())
SPECIAL = frozenset({"__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__"})
KINDS = {
    module: frozenset(names.split())
    for module, names in {
        "keras": "DTypePolicy Model Sequential",
        "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
        "keras.initializers": _INITIALIZERS,
        "keras.layers": _LAYERS,
        "keras.models": "Model Sequential",
        "keras.regularizers": "L1 L1L2 L2",
        "keras.src.models.functional": "Functional",
        "keras.src.ops.core": "Cast",
        "keras.src.ops.math": "Erf Erfc Logsumexp Rsqrt",
        "keras.src.ops.nn": _NN,
        "keras.src.ops.numpy": _NUMPY,
    }.items()
}
