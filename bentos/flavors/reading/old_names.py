"""Where older releases kept what still goes by another module's name today."""

import re

MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "_loss": "sklearn._loss._loss",
    "numpy.ma.core": "numpy.ma",
    "numpy.matrixlib.defmatrix": "numpy",
    "scipy.interpolate.interpolate": "scipy.interpolate._interpolate",
    "sklearn.cluster.birch": "sklearn.cluster._birch",
    "sklearn.cluster.dbscan_": "sklearn.cluster._dbscan",
    "sklearn.cluster.k_means_": "sklearn.cluster._kmeans",
    "sklearn.cluster.hierarchical": "sklearn.cluster._agglomerative",
    "sklearn.decomposition.online_lda": "sklearn.decomposition._lda",
    "sklearn.ensemble.gradient_boosting": "sklearn.ensemble._gb",
    "sklearn.ensemble.voting_classifier": "sklearn.ensemble._voting",
    "sklearn.externals.joblib.numpy_pickle": "joblib.numpy_pickle",
    "sklearn.feature_extraction.hashing": "sklearn.feature_extraction._hash",
    "sklearn.gaussian_process.gpc": "sklearn.gaussian_process._gpc",
    "sklearn.gaussian_process.gpr": "sklearn.gaussian_process._gpr",
    "sklearn.linear_model.passive_aggressive": "sklearn.linear_model._passive_aggressive",
    "sklearn.metrics.scorer": "sklearn.metrics._scorer",
    "sklearn.neighbors._dist_metrics": "sklearn.metrics._dist_metrics",
    "sklearn.neighbors.dist_metrics": "sklearn.metrics._dist_metrics",
    "sklearn.neighbors.lof": "sklearn.neighbors._lof",
    "sklearn.neural_network.multilayer_perceptron": (
        "sklearn.neural_network._multilayer_perceptron"
    ),
    "sklearn.svm.classes": "sklearn.svm._classes",
    "sklearn.tree.tree": "sklearn.tree._classes",
    "sklearn.linear_model.sgd_fast": "sklearn.linear_model._sgd_fast",
    "sklearn.utils.Bunch": "sklearn.utils._bunch",
} | {
    # Before 0.22 most modules had no underscore.
    f"sklearn.{package}.{module}": f"sklearn.{package}._{module}"
    for package, modules in {
        "cluster": "affinity_propagation bicluster mean_shift spectral optics",
        "compose": "column_transformer target",
        "covariance": "elliptic_envelope empirical_covariance robust_covariance",
        "decomposition": (
            "dict_learning factor_analysis fastica incremental_pca kernel_pca nmf pca sparse_pca "
            "truncated_svd"
        ),
        "ensemble": "bagging forest iforest weight_boosting",
        "feature_extraction": "dict_vectorizer",
        "feature_selection": "from_model mutual_info rfe univariate_selection variance_threshold",
        "linear_model": (
            "base bayes coordinate_descent huber least_angle logistic omp perceptron ransac ridge "
            "stochastic_gradient theil_sen"
        ),
        "manifold": "isomap locally_linear mds spectral_embedding t_sne",
        "mixture": "bayesian_mixture gaussian_mixture",
        "neighbors": (
            "ball_tree classification graph kd_tree kde nearest_centroid regression unsupervised"
        ),
        "neural_network": "rbm stochastic_optimizers",
        "preprocessing": "data discretization encoders function_transformer label",
        "semi_supervised": "label_propagation",
        "tree": "classes",
    }.items()
    for module in modules.split()
}
NUMPY = re.compile(r"numpy\.core(?=\.|$)")


def current(module: str) -> str:
    """What a module is called by the releases that are installed here."""
    module = NUMPY.sub("numpy._core", module)
    if module in {"numpy._core._multiarray_umath", "numpy._core.umath"}:
        return "numpy"  # functions know not where they come from: pickle finds them somewhere
    if module == "numpy._core.fromnumeric":
        return "numpy"
    return MODULES.get(module, module)
