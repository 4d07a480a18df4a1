#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train a classifier of handwritten digits with scikit-learn, on all cores.

The data set comes with scikit-learn (1,797 images of 8 by 8 pixels): nothing is
downloaded. A grid search with cross-validation keeps every core busy, in several
processes: all of them are one job to aimeter.

    pip install scikit-learn
    aimeter run --project digits -- python3 examples/train_sklearn.py
"""

import sys

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.neural_network import MLPClassifier
except ImportError:
    sys.exit("this example needs scikit-learn: pip install scikit-learn (or run examples/train.py)")


def main():
    images, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images / 16.0, digits, test_size=0.25, random_state=1
    )
    search = GridSearchCV(
        MLPClassifier(max_iter=1000, random_state=1),
        {"hidden_layer_sizes": [(32,), (64,), (128,)], "alpha": [1e-4, 1e-2]},
        cv=3,
        n_jobs=-1,
        verbose=1,
    )
    search.fit(train_x, train_y)
    print(f"best settings: {search.best_params_}")
    print(f"accuracy on images not seen in training: {search.score(test_x, test_y):.1%}")


if __name__ == "__main__":
    main()
