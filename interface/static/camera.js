// A photo taken with the computer's own camera. Phones offer theirs where a photo is chosen.
import {make} from './dom.js';
import {t} from './words.js';

const SIZE = {width: {ideal: 1920}, height: {ideal: 1080}};

export function offerCamera(root, take, tell) {
  const button = root.querySelector('.lp-camera');
  button.hidden = !navigator.mediaDevices?.getUserMedia || matchMedia('(pointer: coarse)').matches;
  button.onclick = async () => {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({video: SIZE});
    } catch {
      return tell(t('no_camera'));
    }
    const video = make('video', {autoplay: true, playsinline: true});
    video.muted = true;
    video.srcObject = stream;
    const shoot = make('button', {type: 'button', class: 'lp-shoot lp-primary', onclick: async () => {
      const canvas = make('canvas', {width: video.videoWidth, height: video.videoHeight});
      canvas.getContext('2d').drawImage(video, 0, 0);
      const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
      view.close();
      take([new File([blob], 'camera.png', {type: 'image/png'})]);
    }}, t('camera'));
    const leave = make('button', {type: 'button', onclick: () => view.close()}, t('cancel'));
    const view = make('dialog', {class: 'lp-camera-view', 'aria-label': t('camera')}, video, make('div', {class: 'lp-row'}, shoot, leave));
    view.onclose = () => { stream.getTracks().forEach((track) => track.stop()); view.remove(); };
    root.append(view);
    view.showModal();
  };
}
