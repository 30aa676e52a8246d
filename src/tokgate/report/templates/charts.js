"use strict";
// Draws each chart when it comes into view, in the colors of the page, and again when those change.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const themed = (layout) => {
    const style = getComputedStyle(document.documentElement);
    const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    const whole = {
      margin: { l: 48, r: 12, t: 24, b: 36 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { color: ink, family: "system-ui, sans-serif", size: 13 },
      hoverlabel: { align: "left" },
      legend: { orientation: "h", y: -0.18, yanchor: "top" },
      ...layout,
    };
    for (const name of Object.keys({ xaxis: 0, yaxis: 0, ...layout }))
      if (/^[xy]axis/.test(name)) whole[name] = { ...axis, ...layout[name] };
    whole.shapes = (layout.shapes || []).map((shape) => ({ ...shape, line: { color: ink, ...shape.line } }));
    return whole;
  };
  const config = { responsive: true, displayModeBar: false };
  const drawn = new Map();
  const draw = (box, chart) => Plotly.react(box, chart.data, themed(chart.layout), config);
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting || drawn.has(target)) continue;
      drawn.set(target, charts.find((chart) => chart.key === target.dataset.chart));
      draw(target, drawn.get(target));
    }
  }, { rootMargin: "400px" });
  for (const box of document.querySelectorAll("[data-chart]")) watcher.observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [box, chart] of drawn) draw(box, chart);
  });
  window.addEventListener("beforeprint", () => {
    for (const [box] of drawn) Plotly.Plots.resize(box);
  });
})();
