// Fills in a test card at a click. The page works without this file: the
// numbers can be typed as well.
"use strict";

const number = document.getElementById("card_number");
const expiry = document.getElementById("card_expiry");
const cvc = document.getElementById("card_cvc");

for (const button of document.querySelectorAll("[data-number]")) {
  button.addEventListener("click", () => {
    number.value = button.dataset.number;
    cvc.value = button.dataset.cvc;
    const year = (new Date().getFullYear() + 3) % 100;
    expiry.value = "12 / " + String(year).padStart(2, "0");
    for (const field of [number, expiry, cvc]) {
      field.removeAttribute("aria-invalid");
    }
    document.getElementById("pay").focus();
  });
}

number.addEventListener("input", () => {
  const digits = number.value.replace(/\D/g, "").slice(0, 19);
  const amex = /^3[47]/.test(digits);
  const parts = amex
    ? [digits.slice(0, 4), digits.slice(4, 10), digits.slice(10)]
    : digits.match(/.{1,4}/g) || [];
  // Only the end is formatted, so that editing in the middle keeps its place.
  if (number.selectionStart === number.value.length) {
    number.value = parts.filter(Boolean).join(" ");
  }
});

// A second press while the first is under way would be a second attempt.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button[type=submit]")) {
      button.setAttribute("aria-busy", "true");
      setTimeout(() => { button.disabled = true; }, 0);
    }
  });
}
// Coming back with the browser's back button must find the buttons usable.
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[type=submit]")) {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
});
