// The warm-up of a relay's IPs at one provider: the curve of daily caps, and what each IP handed over today at its day.
"use strict";

(() => {
  const element = document.querySelector("[data-plot=places]");
  if (!element || !window.echarts) return;
  const numbers = new Intl.NumberFormat(document.documentElement.lang, { useGrouping: "always" });
  const primary = getComputedStyle(document.documentElement).getPropertyValue("--tblr-primary").trim() || "#1d5a9e";
  const { caps, places } = JSON.parse(element.dataset.points);
  const { curve, today, day } = element.dataset;
  const last = Math.max(caps.length, 1);
  const chart = window.echarts.init(element);
  new ResizeObserver(() => chart.resize()).observe(element);
  chart.setOption({
    animation: false,
    grid: { left: 8, right: 24, top: 36, bottom: 8, containLabel: true },
    legend: { top: 0 },
    color: [primary, "#b3261e"],
    // Rich text is drawn on the canvas: a tooltip made of HTML would need inline styles, which our policy forbids.
    tooltip: {
      trigger: "item",
      renderMode: "richText",
      formatter: ({ name, value, dataIndex, seriesIndex }) =>
        seriesIndex ? `${places[dataIndex].name}: ${numbers.format(places[dataIndex].sent)}` : `${name}: ${numbers.format(value)}`,
    },
    xAxis: { type: "category", data: Array.from({ length: last }, (_, index) => `${day} ${index + 1}`), axisLabel: { hideOverlap: true } },
    // From a hundred to a hundred thousand: on an even scale everything of the first days would lie on the ground.
    yAxis: { type: "log", min: 1, axisLabel: { formatter: (value) => numbers.format(value) } },
    series: [
      { name: curve, type: "line", data: caps, symbolSize: 4 },
      // Whoever is behind the last day stands at it.
      { name: today, type: "scatter", symbolSize: 10, data: places.map((place) => [Math.min(place.day, last) - 1, Math.max(place.sent, 1)]) },
    ],
  });
})();
