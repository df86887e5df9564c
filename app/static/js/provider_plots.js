// The warm-up of a new IP at one provider: what it may hand over each day, as shipped and as the form says now. It follows
// the field while someone writes.
"use strict";

(() => {
  const element = document.querySelector("[data-plot=warm-up]");
  const field = document.querySelector("#warm_up_caps");
  if (!element || !field || !window.echarts) return;
  const numbers = new Intl.NumberFormat(document.documentElement.lang, { useGrouping: "always" });
  const primary = getComputedStyle(document.documentElement).getPropertyValue("--tblr-primary").trim() || "#1d5a9e";
  const capsOf = (text) => text.split(/[\s,;]+/).map(Number).filter((cap) => Number.isInteger(cap) && cap > 0);
  const chart = window.echarts.init(element);
  new ResizeObserver(() => chart.resize()).observe(element);

  const draw = () => {
    const { usual, usualName, name, day } = element.dataset;
    const curves = [
      { name, data: capsOf(field.value), lineStyle: { width: 2 } },
      { name: usualName, data: capsOf(usual), lineStyle: { width: 2, type: "dashed" } },
    ];
    const days = Math.max(...curves.map(({ data }) => data.length), 1);
    chart.setOption({
      animation: false,
      grid: { left: 8, right: 24, top: 36, bottom: 8, containLabel: true },
      legend: { top: 0 },
      color: [primary, "#58616d"],
      // Rich text is drawn on the canvas: a tooltip made of HTML would need inline styles, which our policy forbids.
      tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (value) => (value === undefined ? "—" : numbers.format(value)) },
      xAxis: { type: "category", data: Array.from({ length: days }, (_, index) => `${day} ${index + 1}`), axisLabel: { hideOverlap: true } },
      yAxis: { type: "value", axisLabel: { formatter: (value) => numbers.format(value) } },
      series: curves.map((curve) => ({ ...curve, type: "line", symbolSize: 5 })),
    });
  };

  field.addEventListener("input", draw);
  draw();
})();
