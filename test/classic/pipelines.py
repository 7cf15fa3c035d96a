"""Pipelines of scikit-learn, trained on the data sets that come with it.

Each is a function that returns the trained pipeline and rows that it has not
seen. The names of ARRAYS have one input, a matrix; those of FRAMES have one
input for each column of a table.
"""

import numpy as np
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

IRIS = datasets.load_iris(return_X_y=True)
WINE = datasets.load_wine(return_X_y=True)
CANCER = datasets.load_breast_cancer(return_X_y=True)
DIGITS = datasets.load_digits(return_X_y=True)
DIABETES = datasets.load_diabetes(return_X_y=True)
LINNERUD = datasets.load_linnerud(return_X_y=True)


def with_holes(data):
    """The same with a value in ten missing."""
    x, y = data
    x = x.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    return x, y


def named(data, names):
    """The same with names for labels."""
    x, y = data
    return x, np.asarray(names, object)[y]


ARRAYS = {
    # Scalers, encoders, imputers, features; linear models.
    "standard_logistic": (IRIS, lambda: make_pipeline(StandardScaler(), LogisticRegression())),
    "standard_logistic_names": (
        named(IRIS, ["setosa", "versicolor", "virginica"]),
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    ),
    "minmax_logistic_binary": (CANCER, lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression())),
    "maxabs_sgd": (CANCER, lambda: make_pipeline(MaxAbsScaler(), SGDClassifier(loss="log_loss", random_state=0))),
    "robust_linear_svc": (WINE, lambda: make_pipeline(RobustScaler(), LinearSVC(random_state=0))),
    "normalizer_ovr": (WINE, lambda: make_pipeline(Normalizer(), OneVsRestClassifier(LogisticRegression()))),
    "imputer_polynomial_ridge": (
        with_holes(DIABETES),
        lambda: make_pipeline(SimpleImputer(strategy="median"), PolynomialFeatures(2), Ridge()),
    ),
    "imputer_indicator_logistic": (
        with_holes(IRIS),
        lambda: make_pipeline(
            FeatureUnion([("mean", SimpleImputer()), ("frequent", SimpleImputer(strategy="most_frequent"))]),
            LogisticRegression(max_iter=500),
        ),
    ),
    "lasso": (DIABETES, lambda: make_pipeline(StandardScaler(), Lasso(alpha=0.1))),
    "elastic_net": (DIABETES, lambda: make_pipeline(PowerTransformer(), ElasticNet(alpha=0.1))),
    "poisson": (DIABETES, lambda: make_pipeline(StandardScaler(), PoissonRegressor())),
    "linear_many_targets": (LINNERUD, lambda: make_pipeline(StandardScaler(), LinearRegression())),
    "pca_lda": (DIGITS, lambda: make_pipeline(PCA(20, random_state=0), LinearDiscriminantAnalysis())),
    "pca_qda": (WINE, lambda: make_pipeline(StandardScaler(), PCA(4), QuadraticDiscriminantAnalysis())),
    "svd_logistic": (DIGITS, lambda: make_pipeline(TruncatedSVD(15, random_state=0), LogisticRegression(max_iter=300))),
    "select_k_best": (
        CANCER,
        lambda: make_pipeline(StandardScaler(), SelectKBest(f_classif, k=8), LogisticRegression()),
    ),
    "variance_select_from_model": (
        WINE,
        lambda: make_pipeline(
            VarianceThreshold(0.1),
            SelectFromModel(DecisionTreeClassifier(random_state=0)),
            StandardScaler(),
            LogisticRegression(),
        ),
    ),
    "bins_logistic": (
        IRIS,
        lambda: make_pipeline(
            KBinsDiscretizer(4, encode="onehot-dense", strategy="uniform"), LogisticRegression()
        ),
    ),
    "binarizer_bernoulli": (DIGITS, lambda: make_pipeline(Binarizer(threshold=7.5), BernoulliNB())),
    # Support vectors.
    "svc_rbf": (IRIS, lambda: make_pipeline(StandardScaler(), SVC())),
    "svc_poly_binary": (CANCER, lambda: make_pipeline(StandardScaler(), SVC(kernel="poly", degree=2))),
    "svc_sigmoid_names": (
        named(IRIS, ["a", "b", "c"]),
        lambda: make_pipeline(MinMaxScaler(), SVC(kernel="sigmoid", gamma=0.5)),
    ),
    "nu_svc": (WINE, lambda: make_pipeline(StandardScaler(), NuSVC(kernel="linear"))),
    "svr": (DIABETES, lambda: make_pipeline(StandardScaler(), SVR(C=50.0))),
    "one_class_svm": (IRIS, lambda: make_pipeline(StandardScaler(), OneClassSVM(nu=0.2))),
    # Trees.
    "decision_tree": (IRIS, lambda: DecisionTreeClassifier(random_state=0)),
    "decision_tree_regressor": (DIABETES, lambda: DecisionTreeRegressor(max_depth=6, random_state=0)),
    "tree_many_targets": (LINNERUD, lambda: DecisionTreeRegressor(max_depth=3, random_state=0)),
    "random_forest": (DIGITS, lambda: RandomForestClassifier(30, random_state=0)),
    "random_forest_binary_names": (
        named(CANCER, ["malignant", "benign"]),
        lambda: RandomForestClassifier(20, max_depth=6, random_state=0),
    ),
    "random_forest_regressor": (DIABETES, lambda: RandomForestRegressor(30, max_depth=8, random_state=0)),
    "extra_trees": (WINE, lambda: ExtraTreesClassifier(25, random_state=0)),
    "extra_trees_regressor": (DIABETES, lambda: ExtraTreesRegressor(20, max_depth=7, random_state=0)),
    "gradient_boosting": (WINE, lambda: GradientBoostingClassifier(n_estimators=20, random_state=0)),
    "gradient_boosting_binary": (CANCER, lambda: GradientBoostingClassifier(n_estimators=30, random_state=0)),
    "gradient_boosting_regressor": (DIABETES, lambda: GradientBoostingRegressor(n_estimators=40, random_state=0)),
    "hist_boosting": (with_holes(WINE), lambda: HistGradientBoostingClassifier(max_iter=15)),
    "hist_boosting_binary": (with_holes(CANCER), lambda: HistGradientBoostingClassifier(max_iter=25)),
    "hist_boosting_regressor": (with_holes(DIABETES), lambda: HistGradientBoostingRegressor(max_iter=30)),
    "ada_boost": (IRIS, lambda: AdaBoostClassifier(n_estimators=15, random_state=0)),
    "ada_boost_regressor": (DIABETES, lambda: AdaBoostRegressor(n_estimators=10, random_state=0)),
    "bagging": (
        WINE,
        lambda: make_pipeline(
            StandardScaler(), BaggingClassifier(LogisticRegression(), n_estimators=5, random_state=0)
        ),
    ),
    "isolation_forest": (IRIS, lambda: IsolationForest(n_estimators=20, random_state=0)),
    # Neighbours, probabilities, networks.
    "knn_classifier": (IRIS, lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(5))),
    "knn_manhattan": (
        WINE,
        lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(7, metric="manhattan")),
    ),
    "knn_regressor": (DIABETES, lambda: KNeighborsRegressor(4)),
    "gaussian_nb": (IRIS, lambda: GaussianNB()),
    "multinomial_nb": (DIGITS, lambda: MultinomialNB()),
    "mlp": (
        IRIS,
        lambda: make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=150, random_state=0)),
    ),
    "mlp_tanh_binary": (
        CANCER,
        lambda: make_pipeline(
            StandardScaler(), MLPClassifier((12,), activation="tanh", max_iter=80, random_state=0)
        ),
    ),
    "mlp_regressor": (
        DIABETES,
        lambda: make_pipeline(
            StandardScaler(), MLPRegressor(hidden_layer_sizes=(10,), activation="logistic", max_iter=100, random_state=0)
        ),
    ),
    "gaussian_process": (
        DIABETES,
        lambda: make_pipeline(
            StandardScaler(),
            GaussianProcessRegressor(ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.5), optimizer=None, alpha=0.1),
        ),
    ),
    "gaussian_process_classes": (
        CANCER,
        lambda: make_pipeline(StandardScaler(), GaussianProcessClassifier(1.0 * RBF(3.0), optimizer=None)),
    ),
    "knn_imputer": (with_holes(DIABETES), lambda: make_pipeline(KNNImputer(n_neighbors=3), StandardScaler(), Ridge())),
    "kmeans": (IRIS, lambda: make_pipeline(StandardScaler(), KMeans(4, n_init=3, random_state=0))),
    # Models of models.
    "voting_soft": (
        WINE,
        lambda: VotingClassifier(
            [
                ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
                ("forest", RandomForestClassifier(10, random_state=0)),
                ("bayes", GaussianNB()),
            ],
            voting="soft",
            flatten_transform=False,
        ),
    ),
    "voting_hard": (
        IRIS,
        lambda: VotingClassifier(
            [("tree", DecisionTreeClassifier(random_state=1)), ("near", KNeighborsClassifier(3)), ("bayes", GaussianNB())],
            flatten_transform=False,
        ),
    ),
    "voting_regressor": (
        DIABETES,
        lambda: VotingRegressor([("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4, random_state=0))]),
    ),
    "stacking": (
        WINE,
        lambda: StackingClassifier(
            [("forest", RandomForestClassifier(8, random_state=0)), ("bayes", GaussianNB())],
            final_estimator=LogisticRegression(),
        ),
    ),
    "stacking_regressor": (
        DIABETES,
        lambda: StackingRegressor([("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4, random_state=0))]),
    ),
    "calibrated_sigmoid": (
        WINE,
        lambda: make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC(random_state=0), cv=3)),
    ),
}


def columns_of_iris():
    """Numbers, an integer and names, as columns of one table of objects."""
    x, y = IRIS
    names = np.array(["tiny", "small", "large"], object)[np.digitize(x[:, 2], [2, 4.9])]
    return np.column_stack([x[:, :2].astype(np.float32).astype(object), np.rint(x[:, 3] * 2).astype(int), names]), y


def lines_of_descriptions():
    """Lines of the texts that describe the data sets, and which set it is."""
    texts, labels = [], []
    for label, load in enumerate([datasets.load_iris, datasets.load_wine, datasets.load_diabetes]):
        lines = [line.strip() for line in load().DESCR.splitlines() if len(line.split()) > 3]
        texts += lines
        labels += [label] * len(lines)
    lengths = [["short", "long"][len(text) > 60] for text in texts]
    return np.column_stack([np.array(texts, object), np.array(lengths, object)]), np.array(labels)


# The columns of a table have types of their own: f, i or O.
FRAMES = {
    "columns_one_hot": (
        columns_of_iris,
        "ffiO",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("numbers", StandardScaler(), [0, 1]),
                    ("integer", OneHotEncoder(handle_unknown="ignore"), [2]),
                    ("names", OneHotEncoder(handle_unknown="ignore"), [3]),
                ]
            ),
            LogisticRegression(),
        ),
    ),
    "columns_ordinal_forest": (
        columns_of_iris,
        "ffiO",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("numbers", SimpleImputer(), [0, 1]),
                    ("names", OrdinalEncoder(), [3]),
                ]
            ),
            RandomForestClassifier(10, random_state=0),
        ),
    ),
    "text_tfidf": (
        lines_of_descriptions,
        "OO",
        lambda: make_pipeline(
            ColumnTransformer([("text", TfidfVectorizer(), 0), ("length", OneHotEncoder(), [1])]),
            LogisticRegression(),
        ),
    ),
    "text_counts_bigrams": (
        lines_of_descriptions,
        "OO",
        lambda: make_pipeline(
            ColumnTransformer([("text", CountVectorizer(ngram_range=(1, 2), min_df=2), 0)]), MultinomialNB()
        ),
    ),
}

# The names of ARRAYS whose input is float64: see test_pipelines.py.
DOUBLES = {"multinomial_nb", "gaussian_process_classes"}
