"""The files where parts meet: catalogs, recipes, runs, studies, predictions, bundles and submissions."""
