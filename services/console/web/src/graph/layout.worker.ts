import { layOut, type Shape } from "./layout";

self.onmessage = (event: MessageEvent<{ key: number; shape: Shape }>) => {
  self.postMessage({ key: event.data.key, placed: layOut(event.data.shape) });
};
