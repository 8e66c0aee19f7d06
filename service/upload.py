"""A graph published on Neuronpedia, through its own Python package. The key goes with the requests and nowhere else.

Not run against the live site from here: tests/service/test_upload.py has a server of its own that checks the requests.
"""

import os
from typing import Any
from urllib.parse import quote

import requests

from tracer.errors import first_line

SECONDS = 60
"""Without a sign of life from the server."""


class UploadError(Exception):
    """The graph was not published, or it is not known. The message is one line, without the key."""


def upload(document: bytes, address: str, key: str) -> str:
    """Publish a file of `tracer.interchange.neuronpedia`; the address of its page. Waits for the server.

    `address` is that of Neuronpedia, without a slash at the end. Raises UploadError.
    """
    os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")  # the package would read a .env file into our environment
    from neuronpedia.requests.base_request import NPInvalidResponseError, NPRateLimitError, NPUnauthorizedError
    from neuronpedia.requests.graph_request import GraphRequest

    class Request(GraphRequest):
        BASE_URL = f"{address}/api"

        def send_request(self, uri: str = "", method: str = "POST", **more: Any) -> Any:
            return super().send_request(uri, method, timeout=SECONDS, **more)

    try:
        found = Request(api_key=key).upload(document.decode())
        return f"{address}/{quote(str(found.model_id), safe='')}/graph?slug={quote(str(found.slug), safe='')}"
    except NPUnauthorizedError as problem:
        raise UploadError("Neuronpedia refused the key: set a valid NEURONPEDIA_API_KEY and start again") from problem
    except NPRateLimitError as problem:
        raise UploadError("Neuronpedia takes no more graphs for now: try again later") from problem
    except requests.exceptions.InvalidHeader:  # its message would show the key
        raise UploadError("the NEURONPEDIA_API_KEY is none: it holds characters that can't be sent") from None
    except (requests.ConnectionError, requests.Timeout) as problem:
        raise UploadError(f"Neuronpedia can't be reached at {address}: try again later") from problem
    except (requests.RequestException, NPInvalidResponseError, ValueError, KeyError, TypeError) as problem:
        said = first_line(problem).replace(key, "…")[:300]
        raise UploadError(f"Neuronpedia did not take the graph, or what it said is not understood: {said}") from problem
