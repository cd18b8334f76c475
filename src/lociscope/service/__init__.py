"""The service: a page and an HTTP interface over one predictor."""
