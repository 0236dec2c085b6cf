"""From bytes and strings to arrays: text, pictures, sound. No torch here."""
