#!/usr/bin/python3
"""Makes every file of this folder except speech.wav and mel.safetensors. Needs numpy, sox and ffmpeg. Run it in this folder."""
import os, struct, subprocess, wave
import numpy as np

def run(*command, stdout=None):
    subprocess.run(command, check=True, stdout=stdout, stderr=subprocess.DEVNULL)

# --- WAV: two channels of 16-bit noise shaped by a ramp, the same numbers in every encoding ---
rng = np.random.default_rng(1)
frames = 301  # odd, so that 8-bit mono data needs a pad byte
stereo = (rng.uniform(-1, 1, (frames, 2)) * np.linspace(100, 32767, frames)[:, None]).astype('<i2')
stereo[0] = (-32768, 32767)
with wave.open('wav/pcm16_stereo.wav', 'wb') as f:  # Python's wave module
    f.setnchannels(2); f.setsampwidth(2); f.setframerate(22050); f.writeframes(stereo.tobytes())
np.save('wav/samples.npy', (stereo / 32768).astype('<f4').T.copy())  # [2, frames], exact
source = 'wav/pcm16_stereo.wav'
sox = lambda *args: run('sox', '-D', source, *args)
sox('-e', 'unsigned-integer', '-b', '8', 'wav/sox_pcm8_stereo.wav')
sox('-e', 'unsigned-integer', '-b', '8', 'wav/sox_pcm8_mono.wav', 'remix', '1')
sox('-b', '16', 'wav/sox_pcm16_left.wav', 'remix', '1')
sox('-b', '24', 'wav/sox_pcm24_extensible.wav')
sox('-b', '32', 'wav/sox_pcm32_extensible.wav')
sox('-e', 'floating-point', '-b', '32', 'wav/sox_float32.wav')
sox('-e', 'floating-point', '-b', '64', 'wav/sox_float64.wav')
sox('-b', '16', 'wav/sox_6_channels.wav', 'remix', '1', '2', '1', '2', '1', '2')
with open('wav/sox_pipe.wav', 'wb') as f: run('sox', '-D', source, '-t', 'wav', '-', stdout=f)
with open('wav/ffmpeg_pipe.wav', 'wb') as f: run('ffmpeg', '-i', source, '-f', 'wav', '-', stdout=f)
ffmpeg = lambda *args: run('ffmpeg', '-y', '-i', source, *args)
ffmpeg('-c:a', 'pcm_s24le', 'wav/ffmpeg_pcm24.wav')
ffmpeg('-c:a', 'pcm_f32le', '-metadata', 'title=odd', 'wav/ffmpeg_float32_tagged.wav')
ffmpeg('-rf64', 'always', 'wav/ffmpeg_rf64.wav')
ffmpeg('-c:a', 'pcm_mulaw', 'wav/ffmpeg_mulaw.wav')

# --- NPY: as numpy writes them ---
matrix = np.arange(15, dtype='<f8').reshape(3, 5) - 7.5
for name in ('f2', 'f4', 'f8'):
    np.save(f'npy/{name}.npy', matrix.astype('<' + name))
    np.save(f'npy/{name}_big.npy', matrix.astype('>' + name))
for name in ('i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'):
    np.save(f'npy/{name}.npy', (np.arange(15).reshape(3, 5) * 2 + (100 if name[0] == 'u' else -7)).astype(name))
np.save('npy/fortran.npy', np.asfortranarray(matrix.astype('<f4')))
np.save('npy/fortran_3d.npy', np.asfortranarray(np.arange(24, dtype='<f4').reshape(2, 3, 4)))
np.save('npy/scalar.npy', np.float32(2.5))
np.save('npy/vector.npy', np.arange(4, dtype='<f4'))
np.save('npy/empty.npy', np.zeros((80, 0), '<f4'))
np.save('npy/object.npy', np.array([{'a': 1}, None], dtype=object), allow_pickle=True)
np.save('npy/record.npy', np.zeros(2, dtype=[('x', '<f4'), ('y', '<i4')]))
np.save('npy/complex.npy', np.zeros(2, '<c8'))
np.save('npy/bool.npy', np.zeros(2, bool))
for version in ((2, 0), (3, 0)):
    with open(f'npy/version{version[0]}.npy', 'wb') as f: np.lib.format.write_array(f, matrix.astype('<f4'), version=version)

# --- Mels of other recipes: independent float64 code, from the formulas ---
with wave.open('speech.wav') as f: speech = np.frombuffer(f.readframes(f.getnframes()), '<i2') / 32768.0

def htk_edges(low, high, bands):
    m = np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), bands + 2)
    return 700 * (10 ** (m / 2595) - 1)

def slaney_edges(low, high, bands):
    step = np.log(6.4) / 27
    to_mel = lambda f: f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) / step
    m = np.linspace(to_mel(low), to_mel(high), bands + 2)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * step))

def triangles(hz, edges, area):
    bank = np.zeros((len(edges) - 2, len(hz)))
    for i in range(len(edges) - 2):
        a, b, c = edges[i:i + 3]
        up, down = (hz - a) / (b - a), (c - hz) / (c - b)
        bank[i] = np.maximum(0, np.minimum(up, down)) * (2 / (c - a) if area else 1)
    return bank

def magnitudes(x, fft, win, hop):
    n = np.arange(win)
    window = np.zeros(fft)
    window[(fft - win) // 2:(fft - win) // 2 + win] = 0.5 - 0.5 * np.cos(2 * np.pi * n / win)
    padded = np.pad(x, fft // 2, mode='reflect')
    count = 1 + len(x) // hop
    padded = np.concatenate([padded, np.zeros(fft)])  # only for odd sizes, where the last frame could reach one sample further
    frames_ = np.stack([padded[f * hop:f * hop + fft] * window for f in range(count)], 1)
    return np.abs(np.fft.rfft(frames_, axis=0)), np.sqrt((window ** 2).sum())

def lmnt(x, rate, fft, win, hop, bands):
    s, norm = magnitudes(np.clip(x, -1, 1), fft, win, hop)
    hz = np.linspace(0, rate // 2, fft // 2 + 1)
    mel = triangles(hz, htk_edges(20, rate / 2, bands), False) @ (s / norm)
    return np.clip((20 * np.log10(np.maximum(mel, 1e-5)) - 20 + 100) / 100, 0, 1).astype('<f4')

def tacotron(x, rate, fft, win, hop, bands, high):
    s, _ = magnitudes(x, fft, win, hop)
    hz = np.arange(fft // 2 + 1) * rate / fft
    return np.log(np.maximum(triangles(hz, slaney_edges(0, high, bands), True) @ s, 1e-5)).astype('<f4')

clip = speech[20000:26000]
np.save('mel/clip.npy', clip.astype('<f4'))
np.save('mel/lmnt_16k.npy', lmnt(3 * clip, 16000, 2048, 1200, 300, 128))   # three times louder: clipping counts
np.save('mel/tacotron_24k.npy', tacotron(clip, 24000, 2048, 1200, 300, 100, 12000.0))
np.save('mel/lmnt_11025_fft_600.npy', lmnt(clip[:3000], 11025, 600, 500, 125, 40))  # odd rate, no power of two
np.save('mel/tacotron_short.npy', tacotron(clip[:100], 22050, 1024, 1024, 256, 80, 8000.0))  # shorter than the padding

# --- Compressed audio: a third of a second of the speech ---
run('sox', 'speech.wav', 'compressed/speech.flac', 'trim', '20000s', '7000s')
for name, codec in (('mp3', 'libmp3lame'), ('ogg', 'libvorbis'), ('opus', 'libopus')):
    run('ffmpeg', '-y', '-i', 'compressed/speech.flac', '-c:a', codec, f'compressed/speech.{name}')
