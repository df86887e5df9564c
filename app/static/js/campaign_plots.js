// Plots of a campaign: accepted over time on the live page; opens and clicks over time in the report. Times come shifted to
// the panel's zone and are shown as UTC, so that everybody reads the panel's clock.
"use strict";

(() => {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const numbers = new Intl.NumberFormat(document.documentElement.lang, { useGrouping: "always" });
  const moment = (style) => {
    const format = new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: "UTC", dateStyle: "medium", timeStyle: style, hourCycle: "h23" });
    return ({ value }) => format.format(value);
  };
  const timeAxis = {
    type: "time",
    minInterval: 1000,
    axisPointer: { label: { formatter: moment("medium") } }, // Also the tooltip's first line.
    axisLabel: {
      hideOverlap: true,
      showMinLabel: false,
      showMaxLabel: false,
      formatter: { year: "{yyyy}", month: "{MM}/{yyyy}", day: "{dd}/{MM}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}", millisecond: "{HH}:{mm}:{ss}", none: "{HH}:{mm}:{ss}" },
    },
  };
  const common = {
    useUTC: true,
    animation: !calm,
    grid: { left: 8, right: 24, top: 28, bottom: 8, containLabel: true },
    // Rich text is drawn on the canvas: a tooltip made of HTML would need inline styles, which our policy forbids.
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (value) => numbers.format(value) },
    xAxis: timeAxis,
    yAxis: { type: "value", minInterval: 1, axisLabel: { formatter: (value) => numbers.format(value) } },
  };
  const colours = getComputedStyle(document.documentElement);
  const primary = colours.getPropertyValue("--tblr-primary").trim() || "#1d5a9e";
  const charts = new Map();
  const follow = new ResizeObserver((entries) => entries.forEach(({ target }) => charts.get(target)?.resize()));
  const chartOf = (element) => {
    if (!charts.has(element)) {
      charts.set(element, window.echarts.init(element));
      follow.observe(element);
    }
    return charts.get(element);
  };

  const drawLive = () => {
    const holder = document.querySelector("[data-points]");
    const element = document.querySelector("[data-plot=live]");
    if (!holder || !element || !window.echarts) return;
    const points = JSON.parse(holder.dataset.points);
    element.closest("[data-plot-card]").hidden = points.length < 2;
    if (points.length < 2) return;
    chartOf(element).setOption({
      ...common,
      animation: false, // Every two seconds there is more: figures that slide would lie upon each other half of the time.
      color: [primary],
      series: [{ name: element.dataset.name, type: "line", data: points, showSymbol: false, areaStyle: { opacity: 0.12 } }],
    });
  };

  const drawReactions = () => {
    const element = document.querySelector("[data-plot=reactions]");
    const table = document.querySelector("[data-plot-table]");
    if (!element || !table || !window.echarts) return;
    const names = [...table.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
    const rows = [...table.querySelectorAll("tbody tr")].map((row) => ({
      at: Number(row.querySelector("[data-at]").dataset.at),
      values: [...row.querySelectorAll("[data-value]")].map((cell) => Number(cell.dataset.value)),
    }));
    // One span more on either side: a single bar has no axis of its own to stand on.
    const span = Number(element.dataset.span) * 1000;
    chartOf(element).setOption({
      ...common,
      xAxis: {
        ...timeAxis, minInterval: span, min: rows[0].at - span, max: rows.at(-1).at + span,
        axisPointer: { label: { formatter: moment("short") } },
      },
      color: [primary, "#b3261e"],
      legend: { top: 0 },
      series: names.map((name, index) => ({ name, type: "bar", barMaxWidth: 24, data: rows.map((row) => [row.at, row.values[index]]) })),
    });
  };

  const draw = () => { drawLive(); drawReactions(); };
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:afterSettle", draw);
  // Everything is over: once more as a whole, then rest.
  document.addEventListener("htmx:afterSettle", () => {
    if (document.querySelector("[data-over]")) window.location.reload();
  });
})();
