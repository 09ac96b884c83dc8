"use strict";
for (const section of document.querySelectorAll("section")) {
  // A click on a name of the legend hides its series in all charts.
  for (const button of section.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const hide = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!hide));
      for (const series of section.querySelectorAll("g.s" + button.dataset.series)) series.toggleAttribute("hidden", hide);
    });
  }
  // A pointer over a chart reads the values of the nearest step.
  const names = [...section.querySelectorAll(".legend button")].map((button) => button.textContent);
  for (const chart of section.querySelectorAll("svg")) {
    const reading = document.createElement("output");
    reading.hidden = true;
    chart.after(reading);
    const rule = chart.querySelector(".read");
    const numbers = (text) => text.split(" ").map(Number);
    const [left, right, low, high] = numbers(chart.dataset.x);
    let series;
    const leave = () => { reading.hidden = true; rule.setAttribute("visibility", "hidden"); };
    const read = (event) => {
      series ??= [...chart.querySelectorAll("g[data-v]")].map((group) => ({
        group, index: Number(group.dataset.series), steps: numbers(group.dataset.s), values: numbers(group.dataset.v),
        xs: numbers(group.dataset.s).map((step) => left + (step - low) / (high - low) * (right - left)),
      }));
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const shown = series.filter((one) => !one.group.hasAttribute("hidden"));
      let near = null;
      for (const one of shown) one.xs.forEach((x, i) => {
        if (near === null || Math.abs(x - at.x) < Math.abs(near.x - at.x)) near = { x, step: one.steps[i] };
      });
      if (near === null) return leave();
      rule.setAttribute("x1", near.x);
      rule.setAttribute("x2", near.x);
      rule.setAttribute("visibility", "visible");
      reading.replaceChildren(`step ${near.step}`);
      for (const one of shown) {
        const i = one.steps.indexOf(near.step);
        if (i < 0) continue;
        const line = document.createElement("span"), mark = document.createElement("i");
        mark.style.background = `var(--c${one.index})`;
        line.append(mark, `${one.values[i]} ${names[one.index] ?? ""}`);
        reading.append(line);
      }
      reading.hidden = false;
      const onLeft = near.x < (left + right) / 2;
      reading.style.left = onLeft ? "auto" : "3.4rem";
      reading.style.right = onLeft ? ".4rem" : "auto";
    };
    chart.addEventListener("pointermove", read);
    chart.addEventListener("pointerdown", read);
    chart.addEventListener("pointerleave", leave);
  }
  // The slider shows what was sampled up to a step.
  const slider = section.querySelector(".film input");
  if (slider) {
    const films = [...section.querySelectorAll("figure[data-film]")];
    const stepOf = (image) => Number(image.dataset.step);
    const steps = [...new Set(films.flatMap((film) => [...film.querySelectorAll("img")].map(stepOf)))].sort((a, b) => a - b);
    const play = section.querySelector(".film button"), label = section.querySelector(".film output");
    slider.max = String(steps.length - 1);
    const show = () => {
      const step = steps[slider.value];
      label.textContent = `step ${step}`;
      for (const film of films) {
        const images = [...film.querySelectorAll("img")];
        const chosen = images.filter((image) => stepOf(image) <= step).at(-1) ?? images[0];
        for (const image of images) image.hidden = image !== chosen;
        film.querySelector(".at").textContent = `step ${stepOf(chosen)}`;
      }
    };
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "play"; };
    slider.addEventListener("input", () => { stop(); show(); });
    play.addEventListener("click", () => {
      if (timer !== null) return stop();
      play.textContent = "stop";
      if (Number(slider.value) === steps.length - 1) slider.value = "0";
      show();
      timer = setInterval(() => {
        if (Number(slider.value) >= steps.length - 1) return stop();
        slider.value = String(Number(slider.value) + 1);
        show();
      }, 500);
    });
    slider.value = slider.max;
    show();
    section.querySelector(".film").hidden = steps.length < 2;
  }
}
// Paper has nothing to click on.
addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("details:not([data-long])")) details.open = true; });
document.documentElement.dataset.ready = "yes";
