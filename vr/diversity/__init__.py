"""How varied a dataset is, by itself and beside a reference: columns, combinations, clusters, repeats, outliers."""
