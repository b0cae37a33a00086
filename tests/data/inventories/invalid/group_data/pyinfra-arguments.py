_ignore_errors = True
