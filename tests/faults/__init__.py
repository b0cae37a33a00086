"""One thing broken at a time on the HA sandbox: the run says so in one line, or the next one puts it right."""
