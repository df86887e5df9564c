// Small behaviours shared by all pages. No inline handlers: everything hangs on data- attributes.
"use strict";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]').content;
});

// A page that nobody looks at asks for nothing.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.target.matches("[data-poll]")) event.preventDefault();
});

// A poll answered by another address (the log-in page: the session ended) must not land inside this page.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = event.detail.xhr.responseURL;
  const asked = new URL(event.detail.pathInfo.requestPath, window.location.href);
  if (event.target.matches("[data-poll]") && answered && new URL(answered).pathname !== asked.pathname) {
    event.detail.shouldSwap = false;
    window.location.reload();
  }
});

// Figures that stand still must say so.
const setConnectionLost = (lost) => {
  const notice = document.getElementById("connection-lost");
  if (notice && notice.hidden === lost) notice.hidden = !lost;
};
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.matches("[data-poll]")) setConnectionLost(!event.detail.successful);
});

// A destructive form says exactly what it will do before it does it; no form is sent twice by a double click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = form.dataset.confirm;
  if (form.dataset.sent || (question && !window.confirm(question))) {
    event.preventDefault();
    return;
  }
  if (form.method !== "post" || event.defaultPrevented) return;
  form.dataset.sent = "yes";
  window.setTimeout(() => delete form.dataset.sent, 3000);
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
});

// `/` focuses the page's search box, as people know it from elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const box = document.querySelector("[data-search]");
  if (box) { event.preventDefault(); box.focus(); }
});

// A filter form sends itself when a choice changes.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto-submit]");
  if (form) form.requestSubmit();
});

// Copying. Without HTTPS a browser has no clipboard API: then the text is selected and copied the old way.
const copyText = async (value) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(value);
  const area = document.createElement("textarea");
  area.value = value;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
};
document.addEventListener("click", async (event) => {
  if (event.target.closest("[data-back]")) { window.history.back(); return; }
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await copyText(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  const before = label.textContent;
  label.textContent = button.dataset.copied;
  window.setTimeout(() => { label.textContent = before; }, 2000);
});

// A table that is wider than its card can be scrolled with the keyboard too. A group: as a region it would be one more
// landmark, often with the name of the section around it.
const markScrollers = () => {
  document.querySelectorAll("[data-scroller], .table-responsive").forEach((box) => {
    const wide = box.scrollWidth > box.clientWidth;
    if (!wide) { box.removeAttribute("tabindex"); box.removeAttribute("role"); return; }
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    const name = box.dataset.scroller || box.querySelector("caption")?.textContent || document.title;
    box.setAttribute("aria-label", name);
  });
};
window.addEventListener("load", markScrollers);
window.addEventListener("resize", markScrollers);
document.addEventListener("htmx:afterSwap", markScrollers);

// Of tabs that don't fit the screen, the one that is open is in sight. Only the row moves, never the page; and when a live
// page brings the tabs again, they stay where the person has moved them.
const tabs = () => document.getElementById("campaign-tabs");
let tabsAt = 0;
window.addEventListener("load", () => {
  const open = tabs()?.querySelector(".active");
  if (open) tabs().scrollLeft = open.offsetLeft - (tabs().clientWidth - open.offsetWidth) / 2;
});
document.addEventListener("htmx:oobBeforeSwap", () => { tabsAt = tabs()?.scrollLeft ?? 0; });
document.addEventListener("htmx:oobAfterSwap", () => { if (tabs()) tabs().scrollLeft = tabsAt; });

// Nor is the page's own item of the menu out of sight.
window.addEventListener("load", () => {
  const menu = document.getElementById("menu");
  const own = menu?.querySelector("[aria-current]");
  if (own) menu.scrollTop += Math.max(0, own.getBoundingClientRect().bottom - menu.getBoundingClientRect().bottom + 8);
});

// A mail's frame, as wide as a computer or a phone.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-preview-width]");
  if (!button) return;
  const preview = button.closest("[data-preview]");
  preview.classList.toggle("mail-preview-phone", button.dataset.previewWidth === "phone");
  preview.querySelectorAll("[data-preview-width]").forEach((one) => {
    one.classList.toggle("active", one === button);
    one.setAttribute("aria-pressed", String(one === button));
  });
});
