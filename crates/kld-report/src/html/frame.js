"use strict";
(() => {
  // The theme: as the system has it, light, dark.
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "system";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    button.textContent = `Theme: ${next}`;
  });

  // Tabs: a click or the arrow keys choose the panel; others hear of it by the event "choose".
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", index === chosen);
      tab.tabIndex = index === chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = index !== chosen;
    });
    document.dispatchEvent(new CustomEvent("choose", { detail: chosen }));
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(index));
    tab.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const last = tabs.length - 1;
      const next = Number.isFinite(step) ? (index + step + tabs.length) % tabs.length : step > 0 ? last : 0;
      choose(next);
      tabs[next].focus();
    });
  });
  if (tabs.length) choose(0);
})();
