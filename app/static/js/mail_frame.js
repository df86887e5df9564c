// The switch between a computer's and a phone's width above a framed mail.
"use strict";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mail-frame] [data-width]");
  if (!button) return;
  const frame = button.closest("[data-mail-frame]");
  frame.querySelectorAll("[data-width]").forEach((other) => {
    const chosen = other === button;
    other.classList.toggle("active", chosen);
    other.setAttribute("aria-pressed", String(chosen));
  });
  frame.querySelector("[data-frame-box]").classList.toggle("is-phone", button.dataset.width === "phone");
});
