"""Networks, pipelines and weights. Knows neither gradio nor any plugin."""

import logging
import os

# diffusers imports xformers, which warns at length where its compiled kernels do not load (always on a CPU).
# models/runtime.py probes it and reports what is live, so the warning says nothing new.
logging.getLogger("xformers").addFilter(
    lambda record: (
        os.environ.get("XFORMERS_MORE_DETAILS", "0") not in ("", "0")
        or not record.getMessage().startswith("WARNING[XFORMERS]")
    )
)
