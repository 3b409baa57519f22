"""What estimators are made of besides estimators, by exact names. See `names`."""

# Classes whose instances hold a state in `__dict__`.
PARTS = {
    "sklearn._loss.link": (
        "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"
    ),
    "sklearn._loss.loss": (
        "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss "
        "HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss "
        "PinballLoss"
    ),
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.cluster._birch": "_CFNode _CFSubcluster",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    # Of releases before 1.6, and 1.4: they are read where these are installed.
    "sklearn.compose._column_transformer": "_RemainderColsList make_column_selector",
    "sklearn.ensemble._gb_losses": (
        "BinomialDeviance ExponentialLoss HuberLossFunction LeastAbsoluteError LeastSquaresError "
        "MultinomialDeviance QuantileLossFunction"
    ),
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter "
        "Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.linear_model._ridge": "_IdentityClassifier _IdentityRegressor _RidgeGCV",
    "sklearn.metrics._scorer": (
        "_CurveScorer _MultimetricScorer _PassthroughScorer _PredictScorer _ProbaScorer "
        "_Scorer _ThresholdScorer"
    ),
    "sklearn.model_selection._search_successive_halving": "_SubsampleMetaSplitter",
    "sklearn.model_selection._split": (
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut "
        "LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit "
        "StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit "
        "_CVIterableWrapper"
    ),
    "sklearn.multiclass": "_ConstantPredictor",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "lightgbm.sklearn": "LGBMClassifier LGBMRanker LGBMRegressor",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.sparse._bsr": "bsr_array bsr_matrix",
    "scipy.sparse._coo": "coo_array coo_matrix",
    "scipy.sparse._csc": "csc_array csc_matrix",
    "scipy.sparse._csr": "csr_array csr_matrix",
    "scipy.sparse._dia": "dia_array dia_matrix",
    "xgboost.sklearn": "XGBClassifier XGBRFClassifier XGBRFRegressor XGBRanker XGBRegressor",
}

# Functions that a model may hold as a value: they compute from arrays, and do nothing else.
FUNCTIONS = {
    "numpy": (
        "abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil clip cos "
        "cosh deg2rad degrees divide exp exp2 expm1 fabs floor isfinite isnan log log10 log1p "
        "log2 max mean median min multiply nan_to_num negative rad2deg radians reciprocal rint "
        "round sign sin sinh sqrt square std subtract sum tan tanh true_divide trunc var"
    ),
    "scipy.special._ufuncs": "boxcox boxcox1p expit inv_boxcox inv_boxcox1p logit",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "sklearn.cluster._kmeans": (
        "_kmeans_single_elkan _kmeans_single_lloyd lloyd_iter_chunked_dense "
        "lloyd_iter_chunked_sparse"
    ),
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": (
        "chi2 f_classif f_oneway f_regression r_regression"
    ),
    "sklearn.metrics._classification": (
        "accuracy_score balanced_accuracy_score brier_score_loss class_likelihood_ratios "
        "cohen_kappa_score d2_brier_score d2_log_loss_score f1_score fbeta_score hamming_loss "
        "hinge_loss jaccard_score log_loss matthews_corrcoef negative_likelihood_ratio "
        "positive_likelihood_ratio precision_score recall_score zero_one_loss"
    ),
    "sklearn.metrics._ranking": (
        "average_precision_score dcg_score ndcg_score roc_auc_score top_k_accuracy_score"
    ),
    "sklearn.metrics._regression": (
        "d2_absolute_error_score d2_pinball_score d2_tweedie_score explained_variance_score "
        "max_error mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance "
        "mean_pinball_loss mean_poisson_deviance mean_squared_error mean_squared_log_error "
        "mean_tweedie_deviance median_absolute_error r2_score root_mean_squared_error "
        "root_mean_squared_log_error"
    ),
    "sklearn.metrics._scorer": "_passthrough_scorer",
    "sklearn.metrics.cluster._supervised": (
        "adjusted_mutual_info_score adjusted_rand_score completeness_score fowlkes_mallows_score "
        "homogeneity_score mutual_info_score normalized_mutual_info_score rand_score "
        "v_measure_score"
    ),
    "sklearn.utils.validation": "check_array",
    "sklearn.metrics.pairwise": (
        "additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity euclidean_distances "
        "haversine_distances laplacian_kernel linear_kernel manhattan_distances "
        "nan_euclidean_distances polynomial_kernel rbf_kernel sigmoid_kernel"
    ),
}

# What a model may hold as a value (`dtype=np.float64`) or its constructors ask for.
TYPES = {
    "builtins": "bool dict float int list object str tuple",
    "numpy": (
        "bool bool_ bytes_ complex128 complex64 datetime64 float16 float32 float64 int16 int32 "
        "int64 int8 intp longlong ndarray object_ str_ timedelta64 uint16 uint32 uint64 uint8 "
        "ulonglong void"
    ),
    "numpy.ma": "MaskedArray",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64",
    "numpy.random.bit_generator": "SeedSequence",
    "pandas._libs.missing": "NA",
    "sklearn.neighbors._ball_tree": "BallTree BallTree64 BallTree32",
    "sklearn.neighbors._kd_tree": "KDTree KDTree64 KDTree32",
}

# Distributions of a random search: scipy makes code of text in their states. A search does not
# need them once it has found, so none is made: what they were called is left in their place.
FORGOTTEN = {
    "scipy.stats._distn_infrastructure": "rv_continuous_frozen rv_discrete_frozen",
    "scipy.stats._continuous_distns": (
        "beta_gen expon_gen gamma_gen halfnorm_gen loguniform_gen lognorm_gen norm_gen "
        "reciprocal_gen triang_gen truncnorm_gen uniform_gen"
    ),
    "scipy.stats._discrete_distns": "binom_gen geom_gen poisson_gen randint_gen",
}

LOSSES = {
    "sklearn._loss._loss": (
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss "
        "CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss "
        "CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss"
    ),
    "sklearn.linear_model._sgd_fast": (
        "EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredEpsilonInsensitive SquaredHinge "
        "SquaredLoss"
    ),
}

# Distances between two points, in double or single precision. PyFuncDistance calls back.
_DISTANCES = (
    *("BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine"),
    *("Jaccard", "Kulsinski", "Mahalanobis", "Manhattan", "Matching", "Minkowski"),
    *("RogersTanimoto", "RussellRao", "SEuclidean", "SokalMichener", "SokalSneath"),
)
DISTANCES = {
    "sklearn.metrics._dist_metrics": " ".join(
        f"{name}Distance{precision}" for precision in ("", "64", "32") for name in _DISTANCES
    ),
}
