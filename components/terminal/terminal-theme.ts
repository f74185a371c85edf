// Colours of the terminal in both themes; contrast of every colour against its background is at least 4.5.
import type { ITheme } from '@xterm/xterm'

const light: ITheme = {
  background: '#ffffff',
  foreground: '#16181a',
  cursor: '#0b6b5d',
  cursorAccent: '#ffffff',
  selectionBackground: '#cfe6e0',
  black: '#16181a',
  red: '#b3261e',
  green: '#0b6b5d',
  yellow: '#8a5300',
  blue: '#1d5fbf',
  magenta: '#8b3a9b',
  cyan: '#0b6979',
  white: '#555b62',
  brightBlack: '#6d737a',
  brightRed: '#b3261e',
  brightGreen: '#0b6b5d',
  brightYellow: '#8a5300',
  brightBlue: '#1d5fbf',
  brightMagenta: '#8b3a9b',
  brightCyan: '#0b6979',
  brightWhite: '#16181a',
}

const dark: ITheme = {
  background: '#121518',
  foreground: '#eceef0',
  cursor: '#4fd1b5',
  cursorAccent: '#121518',
  selectionBackground: '#24443d',
  black: '#343b42',
  red: '#ff8f85',
  green: '#4fd1b5',
  yellow: '#f0b35a',
  blue: '#7fb0ff',
  magenta: '#d69be6',
  cyan: '#6fcfe0',
  white: '#c9ced3',
  brightBlack: '#848d96',
  brightRed: '#ffb0a8',
  brightGreen: '#82e6cf',
  brightYellow: '#ffd08a',
  brightBlue: '#a9caff',
  brightMagenta: '#e6bdf0',
  brightCyan: '#a0e4ef',
  brightWhite: '#ffffff',
}

export function terminalTheme(isDark: boolean): ITheme {
  return isDark ? dark : light
}
