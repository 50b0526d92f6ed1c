"""What moves under the mouse: Plotly's figures, and sliders; a still picture where neither does."""

import base64
import json
import uuid

from IPython.display import display
from plotly.offline import get_plotlyjs_version

from helpers.plots import image_grid, png

VIEW = "application/vnd.jupyter.widget-view+json"
PAGE = """<div id="{name}" style="background: white; color: black">
<img src="data:image/png;base64,{still}" alt="{alt}" style="max-width: 100%">
</div>
<script>
(() => {{
  const box = document.getElementById("{name}");
  const pictures = {pictures};
  let narrow = null;
  const draw = () => {{
    const figure = {figure}, changes = narrow ? {narrow} : {{}};
    box.replaceChildren();
    Plotly.newPlot(box, figure.data, figure.layout, {{responsive: true}}).then((plot) => {{
      Plotly.addFrames(plot, figure.frames || []);
      Plotly.relayout(plot, changes);
      if (!pictures) return;
      const shown = document.createElement("div");
      shown.style.cssText = `width: ${{pictures.width}}px; height: ${{pictures.height}}px;
        position: absolute; right: 8px; ${{narrow ? "bottom: 8px" : "top: 90px"}};
        border: 4px solid; display: none;
        image-rendering: pixelated; background-image: url(${{pictures.url}});
        background-size: ${{pictures.columns * pictures.width}}px`;
      box.style.position = "relative";
      box.append(shown);
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
  // Draws at once, and anew whenever the figure becomes narrow or wide.
  const follow = () => new ResizeObserver(() => {{
    const now = box.clientWidth < 600;
    if (!box.clientWidth || now === narrow) return;
    narrow = now;
    draw();
  }}).observe(box);
  const fetch_and_draw = () => {{
    if (window.Plotly) return follow();
    const library = document.createElement("script");
    library.src = "https://cdn.plot.ly/plotly-basic-{version}.min.js";
    library.onload = follow;
    document.head.append(library);
  }};
  new IntersectionObserver((entries, watch) => {{
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    fetch_and_draw();
  }}).observe(box);
}})();
</script>"""


def show_interactive(figure, still, alt: str, narrow=None, pictures=None) -> None:
    """Display a Plotly figure that moves without a kernel, in notebooks and on web pages.

    Plotly's library is fetched when the figure comes into sight. Where it cannot be, or where no
    script may run, the still picture stays.

    Args:
        figure: of the traces in Plotly's basic bundle, such as scatter; frames are kept.
        still: uint8 (H, W) or (H, W, 3).
        alt: what the still picture shows, in words.
        narrow: what of the layout is otherwise where the figure has less than 600 screen pixels,
            by the names of Plotly's relayout, such as {"xaxis.domain": [0, 1]}.
        pictures: uint8 (N, H, W, C); a point whose `customdata` is n shows the n-th of them, 112
            screen pixels wide, to the right of the figure, or below it where it is narrow.
    """
    sheet = "null"
    if pictures is not None:
        columns, (height, width) = 32, pictures.shape[1:3]
        url = f"data:image/png;base64,{_base64(image_grid(pictures, columns, gap=0))}"
        size = {"width": 112, "height": round(112 * height / width)}
        sheet = json.dumps({"url": url, "columns": columns, **size})
    page = PAGE.format(
        name=f"figure-{uuid.uuid4().hex[:8]}", still=_base64(still), alt=alt,
        figure=figure.to_json(), narrow=json.dumps(narrow or {}), pictures=sheet,
        version=get_plotlyjs_version(),
    )  # fmt: skip
    display({"text/html": page, "text/plain": alt}, raw=True)


def show_controls(controls, still) -> None:
    """Display widgets; where no kernel lives, as on a web page, a still picture.

    Args:
        controls: an ipywidgets widget.
        still: uint8 (H, W) or (H, W, 3).
    """
    view = {"version_major": 2, "version_minor": 0, "model_id": controls.model_id}
    display({VIEW: view, "image/png": _base64(still), "text/plain": "sliders"}, raw=True)


def _base64(pixels) -> str:
    return base64.b64encode(png(pixels).data).decode()
