// PostCSS: Tailwind only.
export default { plugins: { '@tailwindcss/postcss': {} } }
