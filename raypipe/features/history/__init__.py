"""What came before a row: values of earlier events of its key, the same bits however they come."""
