"""The page that sends a video file and shows its classes."""

import base64
import hashlib
import html
import importlib.resources
import json
import re
from typing import TYPE_CHECKING

from distill.serving.answers import VERSION
from distill.settings.service import ServiceOptions
from distill.settings.video import VideoSettings

if TYPE_CHECKING:
    from distill.predictor import Predictor

_PLACE = "{{service}}"
_TEXT = (
    importlib.resources.files("distill.serving")
    .joinpath("page.html")
    .read_text("utf-8")
)


def _hash_of(element: str) -> str:
    """Returns what lets a browser use the page's one such element alone."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", _TEXT, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash_of('script')}",
            f"style-src {_hash_of('style')}",
            "connect-src 'self'",
            "media-src blob:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def render_page(
    predictor: "Predictor", options: ServiceOptions, limits: VideoSettings
) -> bytes:
    """Returns the page of a service, in UTF-8."""
    model = f"v1/models/{options.model_name}/versions/{VERSION}"
    facts = {
        "address": f"{model}:predict_video",
        "model": options.model_name,
        "num_classes": predictor.num_classes,
        "max_bytes": limits.max_video_bytes,
        "max_seconds": limits.max_video_seconds,
        "top_k": min(options.top_k, predictor.num_classes),
    }
    return _TEXT.replace(_PLACE, html.escape(json.dumps(facts))).encode()
