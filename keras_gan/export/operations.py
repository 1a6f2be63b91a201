"""The operations that an exported generator may have: those that compute, and no more.

A list of what is allowed, because a list of what is not has always missed something:
TensorFlow's operations write files, read them, list folders, open sockets and call
Python, and new ones come with each version.
"""

# By TensorFlow's names. All are pure, but for those that read weights and tables, call
# functions, or keep a state within one request.
ALLOWED = frozenset(
    # Arithmetic.
    """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax
    ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2 BatchMatMulV3 Betainc
    Bincount Bucketize Cast Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Cross
    Cumprod Cumsum CumulativeLogsumexp DenseBincount Digamma Div DivNoNan Equal Erf
    Erfc Erfinv EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual
    Igamma IgammaGradA Igammac Imag Inv IsFinite IsInf IsNan Less LessEqual Lgamma
    LinSpace Log Log1p LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min
    Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma Pow Prod Range
    Real RealDiv Reciprocal Rint Round Rsqrt SegmentMax SegmentMaxV2 SegmentMean
    SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Select
    SelectV2 Sigmoid Sign Sin Sinh SobolSample SparseBincount Sqrt Square
    SquaredDifference Sub Sum Tan Tanh TruncateDiv TruncateMod UnsortedSegmentMax
    UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum Xdivy Xlog1py Xlogy Zeta
    BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift PopulationCount RightShift
    BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e
    BesselK1 BesselK1e BesselY0 BesselY1 Dawsn Expint FresnelCos FresnelSin Spence FFT
    FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND RFFT
    RFFT2D RFFT3D RFFTND BandedTriangularSolve Cholesky Eig Einsum
    LogMatrixDeterminant Lu MatrixDeterminant MatrixExponential MatrixInverse
    MatrixLogarithm MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve
    Qr SelfAdjointEig SelfAdjointEigV2 Svd TridiagonalMatMul TridiagonalSolve
    """
    # Shapes and indices.
    """
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Concat ConcatOffset
    ConcatV2 ConjugateTranspose Const DepthToSpace Diag DiagPart DynamicPartition
    DynamicStitch EnsureShape ExpandDims ExtractImagePatches ExtractVolumePatches Fill
    Gather GatherNd GatherV2 Identity IdentityN InvertPermutation LowerBound
    MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3
    MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad
    OneHot OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault PreventGradient
    Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size
    Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient
    StridedSlice StridedSliceGrad TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose
    Unique UniqueV2 Unpack UnravelIndex UpperBound Where ZerosLike
    """
    # Layers.
    """
    AvgPool AvgPool3D BiasAdd BiasAddV1 Conv Conv2D Conv2DBackpropInput
    Conv2DBackpropInputV2 Conv3D Conv3DBackpropInput Conv3DBackpropInputV2 CudnnRNN
    CudnnRNNV2 CudnnRNNV3 DataFormatDimMap DataFormatVecPermute DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropInput Dilation2D Elu FractionalAvgPool
    FractionalMaxPool FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D
    InTopK InTopKV2 IsotonicRegression L2Loss LRN LeakyRelu LogSoftmax MaxPool
    MaxPool3D MaxPoolGradGradWithArgmax MaxPoolGradWithArgmax MaxPoolV2
    MaxPoolWithArgmax NthElement Relu Relu6 Selu Softmax SoftmaxCrossEntropyWithLogits
    Softplus Softsign SparseSoftmaxCrossEntropyWithLogits TopK TopKV2
    """
    # Gradients, which functions bring with them.
    """
    AvgPool3DGrad AvgPoolGrad BiasAddGrad BroadcastGradientArgs CholeskyGrad
    Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv3DBackpropFilter
    Conv3DBackpropFilterV2 CropAndResizeGradBoxes CropAndResizeGradImage
    DepthwiseConv2dNativeBackpropFilter Dilation2DBackpropFilter
    Dilation2DBackpropInput EluGrad FractionalAvgPoolGrad FractionalMaxPoolGrad
    FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3 InvGrad LRNGrad
    LeakyReluGrad MaxPool3DGrad MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad
    MaxPoolGradGradV2 MaxPoolGradV2 MirrorPadGrad RandomGammaGrad ReciprocalGrad
    Relu6Grad ReluGrad ResizeBicubicGrad ResizeBilinearGrad ResizeNearestNeighborGrad
    RsqrtGrad ScaleAndTranslateGrad SeluGrad SigmoidGrad SoftplusGrad SoftsignGrad
    SqrtGrad TanhGrad TileGrad
    """
    # Random numbers without a state.
    """
    RandomIndexShuffle StatelessMultinomial StatelessParameterizedTruncatedNormal
    StatelessRandomBinomial StatelessRandomGammaV2 StatelessRandomGammaV3
    StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
    StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson
    StatelessRandomUniform StatelessRandomUniformFullInt
    StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle
    StatelessTruncatedNormal StatelessTruncatedNormalV2
    """
    # Pictures.
    """
    AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize EncodeJpeg EncodePng
    ExtractGlimpse ExtractGlimpseV2 HSVToRGB ImageProjectiveTransformV2
    ImageProjectiveTransformV3 RGBToHSV ResizeArea ResizeBicubic ResizeBilinear
    ResizeNearestNeighbor ScaleAndTranslate
    """
    # Lists, calls, branches and loops.
    """
    Case ControlTrigger EmptyTensorList Enter Exit FakeParam If LoopCond Merge
    NextIteration NoOp PartitionedCall StatefulPartitionedCall StatelessCase
    StatelessIf StatelessWhile Switch TensorArrayCloseV3 TensorArrayConcatV3
    TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3
    TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcat
    TensorListConcatLists TensorListConcatV2 TensorListElementShape
    TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
    TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve
    TensorListResize TensorListScatter TensorListScatterIntoExistingList
    TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack ToBool While
    """
    # Weights, tables of constants, and checks.
    """
    Assert CheckNumerics CheckNumericsV2 DisableCopyOnRead HashTableV2
    LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2 ReadVariableOp
    ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape
    """
    # Text, as labels are.
    """
    AsString StringJoin StringLower StringLength StringToNumber
    """.split()
)
# What the graph has beside them to read its weights when it is loaded ...
RESTORING = frozenset(["AssignVariableOp", "RestoreV2"])
# ... and to write them, which no server does.
SAVING = frozenset(
    ["MergeV2Checkpoints", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"]
)
