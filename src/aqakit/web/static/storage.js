// What the browser keeps for the page; in memory alone where the browser keeps nothing or its storage is full.

const memory = new Map();

export function read(area, key) {
  try {
    return window[area].getItem(key) ?? memory.get(key) ?? null; // the mere name throws if storage is blocked
  } catch {
    return memory.get(key) ?? null;
  }
}

export function write(area, key, value) {
  memory.set(key, value);
  try {
    window[area].setItem(key, value);
  } catch {
    try {
      window[area].removeItem(key); // older than what memory holds
    } catch { /* blocked */ }
  }
}
