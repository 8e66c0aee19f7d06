// Tokens as chips, each shaded by a value where one is given. Text only by textContent: tokens are anybody's.
export default function ({ data, parentElement }) {
  let strip = parentElement.querySelector(".strip");
  if (!strip) {
    strip = document.createElement("div");
    strip.className = "strip";
    parentElement.appendChild(strip);
  }
  strip.setAttribute("role", "list");
  strip.setAttribute("aria-label", data.label);
  const largest = Math.max(1e-9, ...data.values.map((value) => Math.abs(value ?? 0)));
  strip.replaceChildren(
    ...data.tokens.map((token, i) => {
      const chip = document.createElement("span");
      chip.className = "chip" + (data.special.includes(i) ? " special" : "");
      chip.setAttribute("role", "listitem");
      const text = document.createElement("span");
      text.textContent = token;
      chip.append(text);
      const value = data.values[i];
      chip.title = data.titles[i];
      if (value !== undefined && value !== null) {
        const share = Math.round((100 * Math.abs(value)) / largest);
        const colour = value < 0 ? "#b8621b" : "#1b7f79";
        chip.style.background = `color-mix(in srgb, ${colour} ${Math.round(share * 0.55)}%, transparent)`;
        const number = document.createElement("small");
        number.textContent = value.toFixed(Math.abs(value) < 10 ? 2 : 1);
        chip.append(number);
      }
      return chip;
    }),
  );
}
