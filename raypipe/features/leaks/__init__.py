"""Finding, before training, what could not have been known or predicts the label too well."""
