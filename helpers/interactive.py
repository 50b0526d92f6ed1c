"""What moves under the mouse: Plotly's figures, and sliders; a still picture where neither does."""

import base64
import json
import uuid

from IPython.display import display
from plotly.offline import get_plotlyjs_version

from helpers.plots import image_grid, png

VIEW = "application/vnd.jupyter.widget-view+json"
PAGE = """<div id="{name}" style="background: white; color: black; overflow-x: auto">
<img src="data:image/png;base64,{still}" alt="{alt}" style="max-width: 100%">
</div>
<script>
(() => {{
  const box = document.getElementById("{name}");
  const figure = {figure};
  const pictures = {pictures};
  const draw = () => {{
    const inner = document.createElement("div");  // on a phone it scrolls sideways
    inner.style.cssText = "min-width: 600px; position: relative";
    box.replaceChildren(inner);
    Plotly.newPlot(inner, figure.data, figure.layout, {{responsive: true}}).then((plot) => {{
      Plotly.addFrames(plot, figure.frames || []);
      if (!pictures) return;
      const shown = document.createElement("div");
      shown.style.cssText = `width: ${{pictures.width}}px; height: ${{pictures.height}}px;
        position: absolute; right: 8px; top: 90px; border: 4px solid; display: none;
        image-rendering: pixelated; background-image: url(${{pictures.url}});
        background-size: ${{pictures.columns * pictures.width}}px`;
      inner.append(shown);
      plot.on("plotly_hover", (event) => {{
        const number = event.points[0].customdata;
        const column = number % pictures.columns, row = Math.floor(number / pictures.columns);
        shown.style.backgroundPosition =
          `${{-column * pictures.width}}px ${{-row * pictures.height}}px`;
        shown.style.borderColor = event.points[0].fullData.marker.color;
        shown.style.display = "block";
      }});
    }});
  }};
  const fetch_and_draw = () => {{
    if (window.Plotly) return draw();
    const library = document.createElement("script");
    library.src = "https://cdn.plot.ly/plotly-basic-{version}.min.js";
    library.onload = draw;
    document.head.append(library);
  }};
  new IntersectionObserver((entries, watch) => {{
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    fetch_and_draw();
  }}).observe(box);
}})();
</script>"""


def show_interactive(figure, still, alt: str, pictures=None) -> None:
    """Display a Plotly figure that moves without a kernel, in notebooks and on web pages.

    Plotly's library is fetched when the figure comes into sight. Where it cannot be, or where no
    script may run, the still picture stays.

    Args:
        figure: of the traces in Plotly's basic bundle, such as scatter; frames are kept.
        still: uint8 (H, W) or (H, W, 3).
        alt: what the still picture shows, in words.
        pictures: uint8 (N, H, W, C); a point whose `customdata` is n shows the n-th of them beside
            the figure, 112 screen pixels wide.
    """
    sheet = "null"
    if pictures is not None:
        columns, (height, width) = 32, pictures.shape[1:3]
        url = f"data:image/png;base64,{_base64(image_grid(pictures, columns, gap=0))}"
        size = {"width": 112, "height": round(112 * height / width)}
        sheet = json.dumps({"url": url, "columns": columns, **size})
    page = PAGE.format(
        name=f"figure-{uuid.uuid4().hex[:8]}", still=_base64(still), alt=alt,
        figure=figure.to_json(), pictures=sheet, version=get_plotlyjs_version(),
    )  # fmt: skip
    display({"text/html": page, "text/plain": alt}, raw=True)


def show_controls(controls, still) -> None:
    """Display widgets; where no kernel lives, as on a web page, a still picture, uint8 (H, W)."""
    view = {"version_major": 2, "version_minor": 0, "model_id": controls.model_id}
    display({VIEW: view, "image/png": _base64(still), "text/plain": "sliders"}, raw=True)


def _base64(pixels) -> str:
    return base64.b64encode(png(pixels).data).decode()
