// Search over headings and text, from assets/search.js; and the lists of pages and headings, closed where they
// would fill a small screen.
"use strict";

(() => {
  const root = document.currentScript.dataset.root;
  const RESULTS_MAX = 12;
  const form = document.querySelector("form[role=search]");
  const input = document.getElementById("site-search");
  const results = document.getElementById("site-results");
  let chosen = -1;

  const pages = document.querySelector("details.pages");
  const openWhere = (details, width) => {
    if (!details) return;
    const wide = window.matchMedia(`(min-width: ${width})`);
    const settle = () => { details.open = wide.matches; };
    settle();
    wide.addEventListener("change", settle);
  };
  openWhere(pages, "60rem");
  openWhere(document.querySelector("details.contents"), "84rem");
  pages.querySelector("[aria-current]")?.scrollIntoView({block: "nearest"});

  const plain = (text) => text.toLowerCase();
  const entries = window.weirSearch.map(([place, page, heading, text]) =>
    ({place, page, heading, text, title: plain(heading || page), of: plain(page), words: plain(text)}));

  // All words must be there; a heading says more than a page's name, and that more than a text. A word's beginning says more than its middle.
  const weigh = (entry, word) => {
    const at = (text, whole, beginning, inside) => {
      const found = text.indexOf(word);
      if (found < 0) return 0;
      if (text === word) return whole;
      return new RegExp("(^|[^a-z0-9])" + word.replace(/[^a-z0-9]/g, "\\$&")).test(text) ? beginning : inside;
    };
    return at(entry.title, 60, 30, 12) + at(entry.of, 10, 5, 2) + at(entry.words, 8, 4, 1);
  };

  const find = (query) => {
    const words = plain(query).split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    return entries
      .map((entry) => {
        const weights = words.map((word) => weigh(entry, word));
        return {entry, words, weight: weights.includes(0) ? 0 : weights.reduce((a, b) => a + b)};
      })
      .filter(({weight}) => weight > 0)
      .sort((a, b) => b.weight - a.weight)
      .slice(0, RESULTS_MAX);
  };

  const marked = (text, words) => {
    const pieces = document.createDocumentFragment();
    const pattern = new RegExp("(" + words.map((word) => word.replace(/[^a-z0-9]/g, "\\$&")).join("|") + ")", "i");
    text.split(new RegExp(pattern, "gi")).forEach((piece, index) => {
      if (index % 2 === 0) {
        pieces.append(piece);
      } else {
        const mark = document.createElement("mark");
        mark.textContent = piece;
        pieces.append(mark);
      }
    });
    return pieces;
  };

  const around = (entry, words) => {
    const at = Math.max(0, Math.min(...words.map((word) => entry.words.indexOf(word)).filter((found) => found >= 0).concat(1e9)));
    const start = at === 1e9 ? 0 : Math.max(0, at - 50);
    return (start > 0 ? "... " : "") + entry.text.slice(start, start + 150);
  };

  const choose = (index) => {
    const links = results.querySelectorAll("a");
    links.forEach((link, number) => link.setAttribute("aria-selected", String(number === index)));
    chosen = index;
    if (index >= 0 && links[index]) {
      input.setAttribute("aria-activedescendant", links[index].id);
      links[index].scrollIntoView({block: "nearest"});
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  };

  const close = () => {
    results.hidden = true;
    input.setAttribute("aria-expanded", "false");
    choose(-1);
  };

  const show = () => {
    const query = input.value.trim();
    results.replaceChildren();
    if (query === "") return close();
    const found = find(query);
    found.forEach(({entry, words}, number) => {
      const link = document.createElement("a");
      link.href = (root === "." ? "" : root + "/") + entry.place;
      link.id = "site-result-" + number;
      link.tabIndex = -1;
      link.setAttribute("role", "option");
      const title = document.createElement("strong");
      title.append(marked(entry.heading || entry.page, words));
      link.append(title);
      if (entry.heading) link.append(" ", entry.page);
      const text = document.createElement("small");
      text.append(marked(around(entry, words), words));
      link.append(text);
      results.append(link);
    });
    if (found.length === 0) {
      const nothing = document.createElement("p");
      nothing.textContent = "Nothing found";
      results.append(nothing);
    }
    results.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(found.length > 0 ? 0 : -1);
  };

  form.hidden = false;
  input.addEventListener("input", show);
  input.addEventListener("focus", () => { if (input.value) show(); });
  input.addEventListener("keydown", (event) => {
    const links = results.querySelectorAll("a");
    if (event.key === "Escape") {
      close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && links.length > 0) {
      event.preventDefault();
      choose((chosen + (event.key === "ArrowDown" ? 1 : links.length - 1)) % links.length);
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const link = results.querySelectorAll("a")[chosen];
    if (link) {
      close();
      location.href = link.href;
    }
  });
  document.addEventListener("click", (event) => { if (!form.contains(event.target)) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea")) return;
    event.preventDefault();
    input.focus();
  });
})();
