// The campaign's editor: fields inserted at the cursor, live preview, text part, size, warning before leaving.
"use strict";

(() => {
  const form = document.querySelector("[data-campaign-form]");
  if (!form) return;
  const source = form.querySelector("[data-source]");

  // Insert a field where the cursor was last.
  let target = source;
  form.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-mergeable]")) target = event.target;
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (!button) return;
    target.focus();
    target.setRangeText(button.dataset.insert, target.selectionStart, target.selectionEnd, "end");
    target.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // The preview is a form posted into a frame. Each time a new frame, shown when it has loaded: nothing flickers, and the
  // browser's history gets no entry for it.
  const poster = document.querySelector("[data-live-preview]");
  const box = form.querySelector("[data-preview]");
  let number = 0;
  const showPreview = () => {
    const old = [...box.querySelectorAll("iframe")];
    const frame = old[0].cloneNode();
    frame.name = `preview-${++number}`;
    frame.classList.add("is-loading");
    const mine = number;
    box.append(frame);
    frame.addEventListener("load", () => {
      if (mine !== number) { frame.remove(); return; }
      frame.classList.remove("is-loading");
      old.forEach((one) => one.remove());
    });
    poster.querySelectorAll("[name=list_ids]").forEach((input) => input.remove());
    form.querySelectorAll("[name=list_ids]:checked").forEach((input) => {
      const copy = document.createElement("input");
      copy.type = "hidden"; copy.name = "list_ids"; copy.value = input.value;
      poster.append(copy);
    });
    poster.elements.html.value = source.value;
    poster.target = frame.name;
    poster.submit();
  };
  const subjectShown = form.querySelector("[data-subject-preview]");
  const showSubject = async () => {
    const written = form.elements.subject.value;
    const body = new FormData(poster);
    body.delete("html");
    body.append("subject", written);
    const answer = await fetch(subjectShown.dataset.url, { method: "POST", body });
    if (form.elements.subject.value === written) subjectShown.textContent = answer.ok ? await answer.text() : written;
  };

  // Size, in bytes of UTF-8 as it will be stored; its number as the page's language writes it.
  const tenths = new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1, useGrouping: "always" });
  const size = form.querySelector("[data-size]");
  const clipped = form.querySelector("[data-clipped]");
  const showSize = () => {
    const bytes = new TextEncoder().encode(source.value).length;
    size.textContent = `${size.dataset.words}: ${tenths.format(bytes / 1000)} kB`;
    clipped.hidden = bytes <= Number(source.dataset.clippedAt);
  };

  // The text part, asked of the server while its section is open.
  const part = form.querySelector("[data-text-part]");
  const showText = async () => {
    if (!part.open) return;
    const body = new FormData();
    body.append("html", source.value);
    body.append("csrf_token", form.elements.csrf_token.value);
    const answer = await fetch(part.dataset.url, { method: "POST", body });
    if (answer.ok) part.querySelector("[data-auto-text]").textContent = await answer.text();
  };
  part.addEventListener("toggle", showText);

  let timer;
  const later = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => { showPreview(); showSubject(); showText(); }, 500);
  };

  // Leaving with unsaved changes asks first.
  const state = () => new URLSearchParams([...new FormData(form)].filter(([name]) => name !== "csrf_token")).toString();
  const saved = form.querySelector(".is-invalid, .invalid-feedback") ? "" : state();
  const mark = form.querySelector("[data-unsaved]");
  let leaving = false;
  const changed = () => state() !== saved;
  form.addEventListener("submit", () => { leaving = true; });
  window.addEventListener("pageshow", () => { leaving = false; });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && changed()) { event.preventDefault(); event.returnValue = ""; }
  });

  form.addEventListener("input", (event) => {
    mark.hidden = !changed();
    if (event.target === source) showSize();
    if ([source, form.elements.subject].includes(event.target) || event.target.name === "list_ids") later();
  });

  // A problem that names its line leads there.
  const error = document.getElementById("html-error");
  const place = error && error.textContent.match(/(\d+)\D+(\d+):/);
  if (place) {
    const lines = source.value.split("\n");
    const start = lines.slice(0, place[1] - 1).reduce((sum, line) => sum + line.length + 1, 0) + Number(place[2]) - 1;
    source.setSelectionRange(start, start + lines[place[1] - 1].length - place[2] + 1);
    source.scrollTop = Math.max(0, (place[1] - 5) * parseFloat(getComputedStyle(source).lineHeight));
  }

  mark.hidden = !changed();
  showSize();
  showPreview();
  showSubject();
  showText();
})();
